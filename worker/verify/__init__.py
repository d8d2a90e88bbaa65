"""The gateway is asked what really happened: claims are taken, questions asked, replies recorded."""
