"""The requests of gateways and of buyers' browsers: webhooks, notifications and returns become durable claims."""
