"""From a trained bundle to the running model: signatures, archives, registry, gate, shadow, canary, back-test."""
