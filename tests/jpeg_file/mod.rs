//! JPEGs that encoders do not make: flat blocks, any subsampling, and any components in a scan.

/// A component: blocks to a unit, across and down, and the value of the block in a column and row.
pub struct Component {
    pub blocks: (usize, usize),
    pub value: fn(usize, usize) -> u8,
}

/// A sequential JPEG of three components, with the components of each of its scans.
pub fn jpeg(width: usize, height: usize, components: &[Component], scans: &[&[usize]]) -> Vec<u8> {
    let most = |of: fn(&Component) -> usize| components.iter().map(of).max().unwrap();
    let (across, down) = (most(|it| it.blocks.0), most(|it| it.blocks.1));
    let (units_across, units_down) = (width.div_ceil(8 * across), height.div_ceil(8 * down));
    let mut bytes = vec![0xff, 0xd8];
    let mut segment = |marker: u8, content: &[u8]| {
        bytes.extend([0xff, marker]);
        bytes.extend((content.len() as u16 + 2).to_be_bytes());
        bytes.extend(content);
    };
    // A step of eight: the mean of a block is its first coefficient.
    segment(0xdb, &[&[0][..], &[8; 64]].concat());
    let mut frame = vec![8];
    frame.extend((height as u16).to_be_bytes());
    frame.extend((width as u16).to_be_bytes());
    frame.push(components.len() as u8);
    for (number, Component { blocks, .. }) in components.iter().enumerate() {
        frame.extend([number as u8 + 1, (blocks.0 << 4 | blocks.1) as u8, 0]);
    }
    segment(0xc0, &frame);
    // Twelve codes of four bits for the lengths of differences; one of a bit for "no more".
    segment(0xc4, &[&[0, 0, 0, 0, 12][..], &[0; 12], &(0..12).collect::<Vec<u8>>()].concat());
    segment(0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat());
    for scan in scans {
        let mut header = vec![scan.len() as u8];
        header.extend(scan.iter().flat_map(|component| [*component as u8 + 1, 0]));
        header.extend([0, 63, 0]);
        let mut bits = Vec::new();
        let mut before = vec![0i32; components.len()];
        let mut put = |component: usize, x: usize, y: usize| {
            let value = i32::from((components[component].value)(x, y)) - 128;
            let difference = value - std::mem::replace(&mut before[component], value);
            let length = 32 - difference.unsigned_abs().leading_zeros();
            let rest = if difference < 0 { difference + (1 << length) - 1 } else { difference };
            bits.extend((0..4).rev().map(|bit| length >> bit & 1));
            bits.extend((0..length).rev().map(|bit| rest as u32 >> bit & 1));
            bits.push(0);
        };
        if let [component] = scan {
            // A scan of its own has the blocks that the image needs, and no others.
            let (h, v) = components[*component].blocks;
            let (columns, rows) = ((width * h).div_ceil(across), (height * v).div_ceil(down));
            (0..rows.div_ceil(8))
                .for_each(|y| (0..columns.div_ceil(8)).for_each(|x| put(*component, x, y)));
        } else {
            for unit in 0..units_across * units_down {
                for component in *scan {
                    let (h, v) = components[*component].blocks;
                    for block in 0..h * v {
                        let x = unit % units_across * h + block % h;
                        put(*component, x, unit / units_across * v + block / h);
                    }
                }
            }
        }
        let data: Vec<u8> = bits
            .chunks(8)
            .map(|byte| {
                (0..8).fold(0, |all, bit| all << 1 | byte.get(bit).map_or(1, |it| *it as u8))
            })
            .flat_map(|byte| if byte == 0xff { vec![0xff, 0] } else { vec![byte] })
            .collect();
        bytes.extend([0xff, 0xda]);
        bytes.extend((header.len() as u16 + 2).to_be_bytes());
        bytes.extend(header);
        bytes.extend(data);
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}
