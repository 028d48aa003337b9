//! What a phone reads off the picture of a QR code.

/// Pixels around the picture, so that it does not end where its own margin does.
const AROUND: usize = 8;

/// Draws the picture that stands in an answer or a page as a browser would, and reads it with a decoder that is not of
/// the library that made it.
#[track_caller]
pub(crate) fn read(text: &str) -> String {
    let (_, picture) = text.split_once("<svg").expect("a picture");
    let (picture, _) = picture.split_once("</svg>").expect("a whole picture");
    let (width, height) = (number(value(picture, "width")), number(value(picture, "height")));
    assert_eq!(value(picture, "viewBox"), format!("0 0 {width} {height}"));
    // Black on white, whatever is behind it: most readers see nothing in white on black.
    let (_, ground) = picture.split_once("<rect").expect("a ground");
    let whole = (number(value(ground, "width")), number(value(ground, "height")));
    assert_eq!((whole, value(ground, "fill")), ((width, height), "#fff"));
    let (_, path) = picture.split_once("<path").expect("modules");
    assert_eq!(value(path, "fill"), "#000");
    let mut dark = vec![vec![false; width]; height];
    for module in value(path, "d").split('M').skip(1) {
        let (left, top, right, bottom) = edges(module);
        for row in &mut dark[top..bottom] {
            row[left..right].fill(true);
        }
    }
    let at = |x: usize, y: usize| {
        let row = y.checked_sub(AROUND).and_then(|y| dark.get(y));
        let pixel = row.and_then(|row| row.get(x.checked_sub(AROUND)?));
        pixel.copied().unwrap_or_default()
    };
    let mut seen = rqrr::PreparedImage::prepare_from_bitmap(width + 2 * AROUND, height + 2 * AROUND, at);
    let codes = seen.detect_grids();
    assert_eq!(codes.len(), 1, "one code in {text}");
    codes[0].decode().expect("a code that can be read").1
}

/// An attribute's value.
#[track_caller]
fn value<'a>(element: &'a str, name: &str) -> &'a str {
    let (_, rest) = element
        .split_once(&format!(" {name}=\""))
        .unwrap_or_else(|| panic!("no {name}: {element}"));
    rest.split_once('"').expect("a whole value").0
}

#[track_caller]
fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// The edges of a rectangle that is drawn as `x yhWIDTHvHEIGHTHxVy`: left, top, right, bottom.
#[track_caller]
fn edges(module: &str) -> (usize, usize, usize, usize) {
    let (start, rest) = module.split_once('h').expect("a width");
    let (left, top) = start.split_once(' ').expect("a corner");
    let (width, rest) = rest.split_once('v').expect("a height");
    let (height, back) = rest.split_once('H').expect("a way back");
    assert_eq!(back, format!("{left}V{top}"), "a rectangle: {module}");
    let (left, top) = (number(left), number(top));
    (left, top, left + number(width), top + number(height))
}
