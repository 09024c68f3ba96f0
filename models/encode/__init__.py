"""Weights as bytes: codebooks, relative indices, Huffman codes, files, and what each of them costs."""
