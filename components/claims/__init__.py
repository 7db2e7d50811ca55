"""Claims of the papers about training, tried on real data: trained, compared over seeds, shown."""
