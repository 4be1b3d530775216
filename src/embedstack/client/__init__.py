"""An endpoint somewhere else, through the door: requests go out in its dialect, answers come back with identity."""
