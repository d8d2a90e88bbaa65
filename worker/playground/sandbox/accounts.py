"""The `[[merchants.accounts]]` tables of a payproof config that talks to a sandbox.

The two PayParse accounts differ in their key. The blind account has no status check, like a real PayParse account
today.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from worker.playground.sandbox.sandbox_config import CREDENTIALS

_TABLES: Mapping[str, str] = {
    "payparse": """\
[[merchants.accounts]]
id = "shop-payparse"
provider = "payparse"
base_url = "{base}/payparse"
api_key = "{payparse[api_key]}"

[merchants.accounts.status_check]
method = "GET"
path = "/api/v1/order/{{session_id}}/status"
status = "/status"
amount = "/amount"
currency = "/currency"
transaction_id = "/transaction_id"
session_id = "/payment_id"
reference = "/order_ref"
completed = ["paid"]
failed = ["failed"]
cancelled = ["cancelled"]
expired = ["expired"]
pending = ["pending"]
refunded = ["refunded"]
not_found = {{http = 404, at = "/message", words = ["Not found"]}}

[[merchants.accounts]]
id = "shop-payparse-blind"
provider = "payparse"
base_url = "{base}/payparse"
api_key = "{payparse[blind_api_key]}"
""",
    "onepaybd": """\
[[merchants.accounts]]
id = "shop-onepaybd"
provider = "onepaybd"
base_url = "{base}/onepaybd"
api_key = "{onepaybd[api_key]}"
""",
    "shadhinpay": """\
[[merchants.accounts]]
id = "shop-shadhinpay"
provider = "shadhinpay"
base_url = "{base}/shadhinpay"
client_id = "{shadhinpay[client_id]}"
business_id = "{shadhinpay[business_id]}"
api_key = "{shadhinpay[api_key]}"
webhook_secret = "{shadhinpay[webhook_secret]}"
""",
    "moneybag": """\
[[merchants.accounts]]
id = "shop-moneybag"
provider = "moneybag"
base_url = "{base}/moneybag"
api_key = "{moneybag[api_key]}"
webhook_secret = "{moneybag[webhook_secret]}"
""",
    "ipay": """\
[[merchants.accounts]]
id = "shop-ipay"
provider = "ipay"
base_url = "{base}/ipay"
api_key = "{ipay[api_key]}"

[merchants.accounts.status_codes]
100 = "pending"
300 = "cancelled"
400 = "failed"
408 = "expired"
""",
    "sslcommerz": """\
[[merchants.accounts]]
id = "shop-sslcommerz"
provider = "sslcommerz"
base_url = "{base}/sslcommerz"
store_id = "{sslcommerz[store_id]}"
store_password = "{sslcommerz[store_password]}"
""",
    "bkash": """\
[[merchants.accounts]]
id = "shop-bkash"
provider = "bkash"
base_url = "{base}/bkash/v1.2.0-beta"
app_key = "{bkash[app_key]}"
app_secret = "{bkash[app_secret]}"
username = "{bkash[username]}"
password = "{bkash[password]}"
topic_arn = "{bkash[topic_arn]}"
""",
    "shurjopay": """\
[[merchants.accounts]]
id = "shop-shurjopay"
provider = "shurjopay"
base_url = "{base}/shurjopay/api"
username = "{shurjopay[username]}"
password = "{shurjopay[password]}"
prefix = "{shurjopay[prefix]}"
""",
    "aamarpay": """\
[[merchants.accounts]]
id = "shop-aamarpay"
provider = "aamarpay"
base_url = "{base}/aamarpay"
store_id = "{aamarpay[store_id]}"
signature_key = "{aamarpay[signature_key]}"
""",
    "eps": """\
[[merchants.accounts]]
id = "shop-eps"
provider = "eps"
base_url = "{base}/eps/v1"
merchant_id = "{eps[merchant_id]}"
store_id = "{eps[store_id]}"
username = "{eps[username]}"
password = "{eps[password]}"
hash_key = "{eps[hash_key]}"
""",
    "uddoktapay": """\
[[merchants.accounts]]
id = "shop-uddoktapay"
provider = "uddoktapay"
base_url = "{base}/uddoktapay/api"
api_key = "{uddoktapay[api_key]}"
""",
}


def accounts_toml(base: str, providers: Collection[str] = tuple(_TABLES)) -> str:
    """TOML for a sandbox at `base`, such as `http://127.0.0.1:8090`; goes below its `[[merchants]]` table."""
    tables = "\n".join(_TABLES[provider] for provider in providers)
    return tables.format(base=base.rstrip("/"), **CREDENTIALS)
