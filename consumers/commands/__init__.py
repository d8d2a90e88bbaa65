"""What people and shops order: to open a payment, to adopt one, to resolve one."""
