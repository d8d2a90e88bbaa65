"""Orders with their attempts and holds, to be read. Staff write totals, when parcels left, and what is decided."""

from django import forms
from django.contrib import admin

from payments.models import Attempt, Order, UnmatchedPayment


class Attempts(admin.TabularInline):
    model = Attempt
    fields = readonly_fields = (
        *("reference", "payment_id", "version", "status", "hold", "risk", "amount", "currency"),
        *("refunded_amount", "transaction_id", "late"),
    )
    can_delete, extra, max_num = False, 0, 0


class OrderForm(forms.ModelForm):
    def clean(self):
        """The parcel leaves by the total that is saved with it."""
        super().clean()
        order = self.instance
        order.total = self.cleaned_data.get("total", order.total)
        if self.cleaned_data.get("sent_at") is not None and order.derived_state != Order.State.PAID:
            self.add_error("sent_at", f"The parcel is stopped: the order is {order.derived_state}.")


class LockedAdmin(admin.ModelAdmin):
    def get_object(self, request, object_id, from_field=None):
        """What staff save is written to the row as it stands now, and not as it stood when they opened the page."""
        found = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST":
            return found
        return self.model.objects.select_for_update().get(pk=found.pk)  # Django has opened a transaction


@admin.register(Order)
class OrderAdmin(LockedAdmin):
    form = OrderForm
    list_display = ("name", "total", "state", "sent_at")
    list_filter = ("state", ("sent_at", admin.EmptyFieldListFilter))
    inlines = (Attempts,)

    def get_readonly_fields(self, _request, obj=None):
        if obj is None:
            return ("state", "sent_at")
        return ("name", "state") if obj.sent_at is None else ("name", "state", "sent_at")  # a parcel leaves once

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        obj.derive_state()  # another total may be more than was paid


@admin.register(UnmatchedPayment)
class UnmatchedPaymentAdmin(LockedAdmin):
    list_display = ("__str__", "decided", "created_at")
    list_filter = ("decided",)
    readonly_fields = ("payment_id", "payment", "created_at")

    def has_add_permission(self, *_):
        return False

    has_delete_permission = has_add_permission
