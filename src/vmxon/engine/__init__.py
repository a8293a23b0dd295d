"""Decoder, block cache and interpreter tier: microcode compiled through LLVM."""
