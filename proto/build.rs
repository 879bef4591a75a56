//! Generates the `stentor.v1` code; payload fields arrive as `Bytes`, which every receiver shares.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["room", "media", "edge", "watch", "link", "admin"].map(|name| format!("stentor/v1/{name}.proto"));
    let descriptor = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("stentor.v1.bin");
    println!("cargo::rerun-if-changed=stentor");
    tonic_prost_build::configure()
        .bytes(".")
        .file_descriptor_set_path(descriptor)
        .compile_protos(&files, &[".".to_owned()])?;
    Ok(())
}
