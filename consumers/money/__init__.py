"""The rules of money: what an answer proves, what a payment comes to, and which event is told."""
