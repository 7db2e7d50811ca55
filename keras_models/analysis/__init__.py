"""What a net costs, sees and is sensitive to."""

from keras_models.analysis.cost import LayerCost, layer_costs, total_cost

__all__ = ["LayerCost", "layer_costs", "total_cost"]
