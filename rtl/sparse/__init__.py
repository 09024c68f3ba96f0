"""The sparse engine: broadcasts of activations to PEs that hold weights which are not zero."""
