"""What the buyer reads."""

import hmac

from payments.paying import take
from payments.signatures import _key
from payments.tests.stand_in import PayproofTest, ordered, payment


class PagesTest(PayproofTest):
    def comes_back(self, name, number, status):
        asked = {"payment_id": f"pay_{name}{number}".ljust(30, "0"), "reference": f"{name}-{number}", "status": status}
        text = ".".join(["payproof-return", *asked.values()])
        signature = hmac.digest(_key(), text.encode(), "sha256").hex()
        return self.client.get(f"/orders/{name}/thanks/", asked | {"signature": signature}).content.decode()

    def test_an_old_link_says_nothing_about_the_order(self):
        ordered("old", attempts=2)
        take(payment("old", status="failed"))
        assert "not paid" in self.comes_back("old", 1, "failed")
        take(payment("old", number=2))
        page = self.comes_back("old", 1, "failed")
        assert "verified" in page
        assert "<button" not in page
        take(payment("old", number=2, version=3, status="refunded"))
        page = self.comes_back("old", 2, "completed")
        assert "on its way back" in page
        assert "<button" in page

    def test_a_signature_holds_for_one_place_of_its_dots(self):
        ordered("dots")
        asked = {"payment_id": "pay_".ljust(30, "0") + ".other", "reference": "dots-1", "status": "completed"}
        signature = hmac.digest(_key(), ".".join(["payproof-return", *asked.values()]).encode(), "sha256").hex()
        page = self.client.get("/orders/dots/thanks/", asked | {"signature": signature}).content.decode()
        assert "verified" not in page

    def test_the_return_may_be_earlier_than_the_webhook(self):
        ordered("early")
        page = self.comes_back("early", 1, "completed")
        assert "verified" in page
        assert "<button" not in page

    def test_a_click_that_is_not_answered_does_not_say_that_nothing_was_paid(self):
        ordered("away")
        self.answers("GET", "/v1/payments", {}, status=503)
        with self.assertLogs("payments", "ERROR"):
            answered = self.client.post("/orders/away/pay/")
        self.assertContains(answered, "If you paid, please wait", status_code=502)
        self.assertNotContains(answered, "othing was paid", status_code=502)
