"""What a change is: which units differ, what must happen and in which order, why, and what that costs."""
