"""How the command is started; see `payproof.py` here, which the wheel has beside our packages too."""
