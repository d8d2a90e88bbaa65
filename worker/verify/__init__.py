"""The role consume, and the sweep: claims are taken, gateways asked, replies recorded."""
