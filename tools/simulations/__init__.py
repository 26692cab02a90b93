"""Seeded simulations behind docs/monitoring.md: worlds with known truth on which every claim is checked."""
