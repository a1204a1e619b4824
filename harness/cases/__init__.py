"""What to try: cases, where they come from, and how one is found by its id."""
