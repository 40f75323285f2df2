//! Chunking, hashing, compressing, sealing; pack, node and index encodings.
