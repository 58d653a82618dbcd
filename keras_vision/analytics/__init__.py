"""Image analytics: folders of photographs as vectors, and classical methods on them.

Names are imported on first use.
"""

from keras_vision.lazy import on_first_use

_NAMES = {
    "Exploration": "exploration",
    "explore": "exploration",
    "page_data": "exploration",
    "thumbnails": "pictures",
    "write_page": "report",
    "CrossValidation": "classification",
    "EmbedImages": "beam",
    "Embeddings": "embedding",
    "ImageEmbedder": "embedding",
    "Skipped": "reading",
    "cross_validate": "classification",
    "cut_tree": "clustering",
    "dbscan": "clustering",
    "distances": "similarity",
    "duplicates": "similarity",
    "feature_network": "network",
    "image_grid": "maps",
    "k_means": "clustering",
    "label_of": "listing",
    "mds": "maps",
    "near_duplicates": "similarity",
    "neighbours": "nearest",
    "outlier_scores": "clustering",
    "read_embeddings": "tables",
    "silhouettes": "clustering",
    "t_sne": "maps",
    "umap": "maps",
    "walk_images": "listing",
    "ward_tree": "clustering",
    "write_embeddings": "tables",
}

__all__ = sorted(_NAMES)

__getattr__, __dir__ = on_first_use(__name__, _NAMES)
