"""From torch to Core ML: recipes, lowering by ExecuTorch's public path, the lowered program as data, its cache."""
