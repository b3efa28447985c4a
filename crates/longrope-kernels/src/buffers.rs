//! How large one tensor may be.

use burn::tensor::Device;

/// The most bytes that one tensor may take on a device: the largest buffer that is allocated there.
///
/// GPUs that are reached through a graphics interface bind buffers of at most 128 MiB or 2 GiB, some of more. On CUDA and `ROCm`
/// it is a quarter of the memory. `None` for CPUs, which have no such limit, and for remote devices, which do not say.
pub fn largest_buffer(device: &Device) -> Option<u64> {
    #[cfg(feature = "cube")]
    if let burn::backend::DispatchDevice::Cube(device) = device.as_dispatch() {
        return Some(device.client().properties().memory.max_page_size);
    }
    let _ = device;
    None
}
