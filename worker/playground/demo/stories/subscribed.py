"""bKash's notifications, which Amazon's SNS signs: subscribed, true, old, and from another topic, key or server.

A notification is the only message that tells of money which somebody else had bKash take.
"""

from __future__ import annotations

from worker.playground.demo.elsewhere import executed_at_bkash
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.ends import pays
from worker.playground.demo.story import BKASH, Story, closed, completed
from worker.playground.demo.waiting import Otherwise

WRONG = (
    {"topic_arn": "arn:aws:sns:ap-southeast-1:210987654321:somebodys-own"},
    {"forged": True},
    {"signing_cert_url": "https://sns.ap-southeast-1.amazonaws.com.thief.example/key.pem"},
    {"signing_cert_url": "https://sns.eu-west-1.amazonaws.com/key.pem"},
)
"""Each alone is a reason to refuse the message. The last is SNS itself, and not in the topic's region."""


async def is_subscribed(scene: Scene) -> None:
    """BKash subscribes payproof to its topic, and payproof confirms that before it answers."""
    await scene.open()
    control = scene.stage.control
    before = (await control.get("sns"))["confirmed"]
    sent = await control.post("sns")
    after = (await control.get("sns"))["confirmed"]
    if sent["statuses"] != [200] or after <= before:
        raise Otherwise(f"it was confirmed {after - before} times, and answered {sent['statuses']}")
    await scene.returns(await scene.at_gateway("pay"))


async def is_executed_by_the_shop(scene: Scene) -> None:
    """The buyer approves and closes the browser. The shop's own code takes the money, and bKash notifies."""
    await scene.open()
    await scene.at_gateway("pay")
    await executed_at_bkash(scene.stage.control, scene.payment["session_id"])
    await scene.until("opened", "completed")
    await scene.gateway_was_heard()


async def is_notified_by_sha_256(scene: Scene) -> None:
    """A topic may choose the second version of the signature. The notification tells nothing new."""
    await pays(scene)
    await scene.until("opened", "completed")
    await scene.gateway_notifies(200, by="sns", version="2")


async def is_notified_of_long_ago(scene: Scene) -> None:
    """A true signature of an hour ago proves nothing: it is a hint like any other, and nothing was paid."""
    await scene.open(lives=1.5)
    await scene.gateway_notifies(200, by="sns", stale=True)
    await scene.at_gateway("walk_away", webhook=False)


async def is_notified_by_others(scene: Scene) -> None:
    """The buyer approves. No message of a stranger has payproof take the money."""
    await scene.open()
    await scene.at_gateway("pay", webhook=False)
    for wrong in WRONG:
        await scene.gateway_notifies(401, by="sns", **wrong)
    await scene.gateway_closes()
    await scene.until("opened", "expired")
    await scene.gateway_took_nothing()


STORIES = (
    Story("Subscription confirmed, and paid", BKASH, is_subscribed, completed()),
    Story("Executed by the shop, and notified", BKASH, is_executed_by_the_shop, completed(saw=())),
    Story("Notification signed by SHA-256", BKASH, is_notified_by_sha_256, completed()),
    Story("Notification an hour old, nothing paid", BKASH, is_notified_of_long_ago, closed("expired")),
    Story("Notifications of strangers, nothing executed", BKASH, is_notified_by_others, closed("expired")),
)
