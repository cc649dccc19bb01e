"""What a run is made of: its loops, its plans, its books. Its life is in `dovetail.life`."""
