"""The console: pages for the people who support a shop, decide about money and keep its books."""
