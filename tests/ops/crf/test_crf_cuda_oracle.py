"""The CUDA core, emulated, under tests of the C++ core: against float64 oracles, refusals, batches."""

import pytest
import test_crf_core as both
import test_crf_mean_field as mean_field
import test_crf_refusals as refusals


@pytest.fixture
def core(emulation):
    return emulation


test_a_batch_is_its_images = both.test_a_batch_is_its_images
test_filter_equals_a_naive_lattice = both.test_filter_equals_a_naive_lattice
test_filter_is_linear = both.test_filter_is_linear
test_transposed_filter_is_the_gradient = both.test_transposed_filter_is_the_gradient

test_constant_image = mean_field.test_constant_image
test_image_channels = mean_field.test_image_channels
test_impossible_labels = mean_field.test_impossible_labels
test_kernels_and_iterations = mean_field.test_kernels_and_iterations
test_labels = mean_field.test_labels
test_messages_of_a_gaussian_kernel = mean_field.test_messages_of_a_gaussian_kernel
test_narrow_images = mean_field.test_narrow_images
test_normalizations = mean_field.test_normalizations
test_one_label = mean_field.test_one_label
test_potts_is_a_matrix_of_penalties = mean_field.test_potts_is_a_matrix_of_penalties
test_smallest_theta_of_a_bilateral_kernel = mean_field.test_smallest_theta_of_a_bilateral_kernel
test_tiny_theta_of_a_gaussian_kernel_is_the_identity = mean_field.test_tiny_theta_of_a_gaussian_kernel_is_the_identity
test_widths = mean_field.test_widths

test_bad_arrays = refusals.test_bad_arrays
test_bad_filter_arguments = refusals.test_bad_filter_arguments
test_bad_kernels = refusals.test_bad_kernels
test_bad_logits = refusals.test_bad_logits
test_bad_mean_field_arguments = refusals.test_bad_mean_field_arguments
