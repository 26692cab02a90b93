"""The parts of tools/story.py: a simulated plant with real pictures around the real product."""
