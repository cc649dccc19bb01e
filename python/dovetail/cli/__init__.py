"""The command line `dovetail`. Its modules import little: what a command needs, it imports when it is called."""
