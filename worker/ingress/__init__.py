"""What gateways and buyers' browsers send: callbacks, returns and webhooks become durable claims."""
