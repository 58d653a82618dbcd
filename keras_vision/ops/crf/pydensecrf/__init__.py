"""What scripts written for pydensecrf need, on this package's operations: change the prefix of their imports.

    import keras_vision.ops.crf.pydensecrf.densecrf as dcrf
    from keras_vision.ops.crf.pydensecrf.utils import unary_from_labels, unary_from_softmax

Names, arguments, shapes and meanings are pydensecrf's; no line of it is used.
"""
