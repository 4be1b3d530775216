"""Texts -> terms and their weights; several rankings -> one."""
