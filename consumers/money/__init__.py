"""The rules of money: which answers fit, which state they give a payment, and which event is written."""
