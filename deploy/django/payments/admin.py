"""Orders with their attempts and holds, to be read."""

from django.contrib import admin

from payments.models import Attempt, Order, Parcel


class Attempts(admin.TabularInline):
    model = Attempt
    fields = readonly_fields = (
        *("reference", "payment_id", "version", "status", "hold", "risk", "amount", "currency"),
        *("refunded_amount", "transaction_id", "late"),
    )
    can_delete, extra, max_num = False, 0, 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("name", "total", "state")
    list_filter = ("state",)
    readonly_fields = ("state",)
    inlines = (Attempts,)


@admin.register(Parcel)
class ParcelAdmin(admin.ModelAdmin):
    list_display = ("order", "stopped", "sent_at")
    list_filter = ("stopped",)
