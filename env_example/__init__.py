"""The example of an app's environment file, from what is declared; and the variables that its code reads."""
