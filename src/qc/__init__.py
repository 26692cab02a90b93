"""Edge visual inspection: one verdict per part, sampled truth, safe retrains."""
