"""The shop's addresses."""

from django.contrib import admin
from django.urls import path
from payments import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("hooks/payproof", views.webhook, name="webhook"),
    path("orders/<slug:name>/", views.order, name="order"),
    path("orders/<slug:name>/pay/", views.pay, name="pay"),
    path("orders/<slug:name>/thanks/", views.thanks, name="thanks"),
]
