"""Stored vectors with their texts -> which model and which recipe made them, or that none of those tried did."""
