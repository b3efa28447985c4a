//! Operations in the stream of Burn's fusion.

use burn::backend::fusion::custom::{
    CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorIr, TensorSpec,
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Cube, TensorMetadata};
use burn_cubecl::CubeBackend;
use burn_cubecl::fusion::CubeFusionHandle;
use burn_cubecl::tensor::CubeTensor;

/// Adds an operation that runs when its results, described by `outputs`, are needed. Tensors of integers may be inputs too.
pub(super) fn lazily<const N: usize, const M: usize>(
    name: &'static str,
    inputs: [FloatTensor<Cube>; N],
    outputs: [TensorSpec; M],
    run: impl Fn([CubeTensor; N]) -> [CubeTensor; M] + Send + Sync + 'static,
) -> [FloatTensor<Cube>; M] {
    let client = inputs[0].client.clone();
    let inputs = inputs.map(FloatTensor::<Cube>::into_ir);
    let specs = outputs.clone();
    let outputs =
        outputs.map(|spec| TensorIr::uninit(client.create_empty_handle(), spec.shape, spec.dtype));
    let description = CustomOpIr {
        id: name.into(),
        inputs: inputs.to_vec(),
        outputs: outputs.to_vec(),
        scalars: Vec::new(),
    };
    let ids = outputs.map(|output| output.id);
    let operation = OperationFn(move |handles: &mut HandleContainer<CubeFusionHandle>| {
        let inputs = inputs
            .each_ref()
            .map(|input| handles.get_float_tensor::<CubeBackend>(input));
        for ((id, spec), output) in ids.iter().zip(&specs).zip(run(inputs)) {
            debug_assert_eq!(output.dtype, spec.dtype, "type of a result of {name}");
            debug_assert_eq!(output.shape(), spec.shape, "shape of a result of {name}");
            handles.register_float_tensor::<CubeBackend>(id, output);
        }
        Ok(())
    });
    let operation_ir = OperationIr::Custom(description);
    let outputs = client.register(StreamId::current(), operation_ir, operation);
    let outputs: Result<[FloatTensor<Cube>; M], _> = outputs.try_into();
    outputs.unwrap_or_else(|_| unreachable!("there is a tensor for each output"))
}
