"""The gateways by an account's `provider`. A new gateway needs its own file, a line here and its fixtures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from consumers.ports.gateway import Provider
from consumers.providers.aamarpay import AamarPay
from consumers.providers.bkash import BKash
from consumers.providers.eps import EPS
from consumers.providers.generic import Generic
from consumers.providers.ipay import IPay
from consumers.providers.moneybag import Moneybag
from consumers.providers.onepaybd import OnePayBD
from consumers.providers.payparse import PayParse
from consumers.providers.shadhinpay import ShadhinPay
from consumers.providers.shurjopay import ShurjoPay
from consumers.providers.sslcommerz import SSLCommerz
from consumers.providers.uddoktapay import UddoktaPay

PROVIDERS: Mapping[str, type[Provider]] = MappingProxyType(
    {
        PayParse.name: PayParse,
        OnePayBD.name: OnePayBD,
        ShadhinPay.name: ShadhinPay,
        Moneybag.name: Moneybag,
        IPay.name: IPay,
        SSLCommerz.name: SSLCommerz,
        BKash.name: BKash,
        ShurjoPay.name: ShurjoPay,
        AamarPay.name: AamarPay,
        EPS.name: EPS,
        UddoktaPay.name: UddoktaPay,
        Generic.name: Generic,
    }
)
