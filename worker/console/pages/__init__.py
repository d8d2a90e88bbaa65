"""The console's pages. A page's figures come from a function below this room, which commands and the API use too."""
