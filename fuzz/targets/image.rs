//! Any text for an image: refused, or parts that make the same text again and mean one repository.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate::policy::image::ImageReference;

fuzz_target!(|text: &str| {
    let Ok(image) = ImageReference::parse(text) else { return };
    let tag = image.tag.map(|it| format!(":{it}")).unwrap_or_default();
    let digest = image.digest.map(|it| format!("@{it}")).unwrap_or_default();
    assert_eq!(format!("{}{tag}{digest}", image.name), text);
    assert!(text.is_ascii() && !text.contains(char::is_whitespace), "{text:?}");
    assert!(image.same_repository(&image));
    let floats = image.digest.is_none() && matches!(image.tag, None | Some("latest"));
    assert_eq!(image.floats_on_latest(), floats, "{text}");
    // Its full name is an image of the same repository, and its own full name.
    let full = format!("{}/{}", image.registry(), image.repository());
    if let Ok(whole) = ImageReference::parse(&full) {
        assert!(whole.same_repository(&image) && image.same_repository(&whole), "{text} {full}");
        assert_eq!(format!("{}/{}", whole.registry(), whole.repository()), full, "{text}");
    } else {
        // The prefix `docker.io/library/` may make it too long.
        assert!(full.len() > 255, "{text}: {full}");
    }
});
