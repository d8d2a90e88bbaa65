"""A small shop. Every secret comes from the environment."""

import os
from pathlib import Path

PAYPROOF_URL = os.environ["PAYPROOF_URL"]
PAYPROOF_API_KEY = os.environ["PAYPROOF_API_KEY"]
PAYPROOF_WEBHOOK_SECRET = os.environ["PAYPROOF_WEBHOOK_SECRET"]
PAYPROOF_ACCOUNT = os.environ["PAYPROOF_ACCOUNT"]
SHOP_URL = os.environ["SHOP_URL"]  # where browsers reach this shop

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1").split(",")
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "payments",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # serves the admin's styles under any server
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",  # for a try; a shop has PostgreSQL or MariaDB
        "NAME": os.environ.get("DATABASE", Path(__file__).parents[1] / "shop.sqlite"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},  # SQLite has no SELECT FOR UPDATE
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
ADMINS = [("", address) for address in os.environ.get("ADMINS", "").split(",") if address]  # they get the shop's mails
EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
EMAIL_TIMEOUT = 10  # seconds
