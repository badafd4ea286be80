"Damaged and strange image files, the same ones for the same seed: sound images, mutated, and what no camera makes."
import io, os, random, struct, zlib
import numpy as np
from PIL import Image, ImageCms

FORMATS = dict(png='PNG', jpg='JPEG', bmp='BMP', gif='GIF', tif='TIFF', webp='WEBP', pgm='PPM', tga='TGA', ico='ICO',
               jp2='JPEG2000', pcx='PCX', sgi='SGI', avif='AVIF', qoi='QOI', dds='DDS', im='IM', eps='EPS', pdf='PDF')


def as_bytes(im, kind, **kw):
    f = io.BytesIO()
    im.save(f, kind, **kw)
    return f.getvalue()


def written(im):
    "An image in every format that Pillow writes here, and in some kinds of each: {name: bytes}."
    rgb, can = im.convert('RGB'), Image.SAVE
    out = {f'plain.{ext}': as_bytes(rgb, kind) for ext, kind in FORMATS.items() if kind in can}
    out |= {f'{c}.tif': as_bytes(im, 'TIFF', compression=c) for c in ('tiff_lzw', 'tiff_deflate', 'packbits', 'jpeg')}
    out |= {'progressive.jpg': as_bytes(rgb, 'JPEG', progressive=True, quality=90),
            'restart.jpg': as_bytes(rgb, 'JPEG', restart_marker_blocks=4), 'grey.jpg': as_bytes(im, 'JPEG'),
            'exif.jpg': as_bytes(im, 'JPEG', exif=turned(6)), 'lossless.webp': as_bytes(rgb, 'WEBP', lossless=True),
            'palette.png': as_bytes(rgb.quantize(16), 'PNG'), 'film.gif': film(rgb, 'GIF'),
            'film.png': film(rgb, 'PNG'), 'film.webp': film(rgb, 'WEBP'), 'pages.tif': film(rgb, 'TIFF'),
            'grey.png': as_bytes(im, 'PNG')}
    return out


def turned(way):
    exif = Image.Exif()
    exif[0x0112] = way
    return exif


def film(im, kind): return as_bytes(im, kind, save_all=True, append_images=[im.rotate(90), im.rotate(180)])


def chunk(kind, body, crc=None):
    if crc is None: crc = zlib.crc32(kind + body)
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', crc)


def png(w, h, depth, colour, rows, more=b'', laced=0, crc=None):
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, depth, colour, 0, 0, laced))
    return b'\x89PNG\r\n\x1a\n' + head + more + chunk(b'IDAT', zlib.compress(rows, 1), crc) + chunk(b'IEND', b'')


def never_ending(n):
    "A progressive JPEG that draws the whole picture again n times, each time with nothing in it."
    data = as_bytes(Image.new('L', (2000, 2000)), 'JPEG', progressive=True)
    at = data.rindex(b'\xff\xda') # the last scan
    return data[:at] + n*data[at:-2] + data[-2:]


def odd(im):
    "What no camera makes, and what some do: {name: bytes}."
    a, (w, h) = np.asarray(im.convert('L')), im.size
    rgb, rows = im.convert('RGB'), b''.join(b'\0' + r.tobytes() for r in a)
    wide, hole = a.astype(np.uint16)*257, a.astype(np.float32)/255
    hole[3:9, 3:9] = np.nan
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    jpg, gif, bmp, tif = (as_bytes(rgb, k) for k in ('JPEG', 'GIF', 'BMP', 'TIFF'))
    ring = bytearray(film(im, 'TIFF')) # the second page says that the first one follows
    first = struct.unpack_from('<I', ring, 4)[0]
    second = first + 2 + 12*struct.unpack_from('<H', ring, first)[0]
    after = struct.unpack_from('<I', ring, second)[0]
    struct.pack_into('<I', ring, after + 2 + 12*struct.unpack_from('<H', ring, after)[0], first)
    out = {f'exif {k}.jpg': as_bytes(rgb, 'JPEG', exif=turned(k)) for k in range(10)}
    head = b'\n%d %d\n255\n' % (w, h)
    out |= {f'{p.decode()}.pnm': p + head + a.tobytes() for p in (b'P2', b'P3', b'P5', b'P6', b'Pf')}
    out |= {f'{c}.png': png(w, h, 8, c, rows) for c in range(8)} # six of them no kind of PNG for these rows
    out |= {f'{d} bit.png': png(w, h, d, 0, rows) for d in (1, 2, 4, 16, 32)}
    out |= {f'{mode}.png': as_bytes(im.convert(mode), 'PNG') for mode in ('1', 'LA', 'RGBA', 'P', 'I;16')}
    out |= {f'{mode}.tif': as_bytes(im.convert(mode), 'TIFF')
            for mode in ('1', 'CMYK', 'LAB', 'YCbCr', 'F', 'I', 'LA', 'P')}
    out |= {f'{mode}.webp': as_bytes(im.convert(mode), 'WEBP') for mode in ('L', 'RGBA')}
    out |= {f'{u} x {v}.png': as_bytes(Image.new('L', (u, v), 99), 'PNG')
            for u, v in ((1, 1), (1, 500), (500, 1), (7, 99), (8, 8), (8, 4000))}
    out |= {
        'zero.png': b'', 'one.png': b'\x89', 'head.png': b'\x89PNG\r\n\x1a\n', 'text.jpg': '画像ではない'.encode(),
        'nul.bmp': bytes(999), 'page.png': b'<html><img src="x.png"></html>', 'jpeg inside.png': jpg,
        'gif inside.jpg': gif,
        'png inside.tif': as_bytes(im, 'PNG'), 'no ending': jpg, 'sheet.xlsx': b'PK\3\4' + bytes(99),
        'table.csv': b'a,b\n1,2\n',
        'sized 60000.png': png(60000, 60000, 8, 0, rows), 'sized 2147483647.png': png(2**31 - 1, 2**31 - 1, 8, 6, rows),
        'sized 0.png': png(0, 0, 8, 0, rows), 'sized.gif': gif[:6] + b'\xff\xff\xff\xff' + gif[10:],
        'sized.bmp': bmp[:18] + struct.pack('<ii', 2**31 - 1, 2**31 - 1) + bmp[26:],
        'standing.bmp': bmp[:22] + struct.pack('<i', -h) + bmp[26:],
        'lying.bmp': bmp[:18] + struct.pack('<i', -w) + bmp[22:],
        'least.bmp': bmp[:22] + struct.pack('<i', -2**31) + bmp[26:], 'bits.bmp': bmp[:28] + b'\x07\x00' + bmp[30:],
        'dark.png': as_bytes(Image.fromarray(wide//64), 'PNG'), 'deep.png': as_bytes(Image.fromarray(wide), 'PNG'),
        'deep.tif': as_bytes(Image.fromarray(wide), 'TIFF'), 'deep.jp2': as_bytes(Image.fromarray(wide), 'JPEG2000'),
        'deep colour.png': png(w, h, 16, 2, b''.join(b'\0' + r.tobytes() for r in wide.repeat(3, 1).byteswap())),
        'deep colour.ppm': b'P6\n%d %d\n65535\n' % (w, h) + wide.repeat(3, 1).byteswap().tobytes(),
        'hole.tif': as_bytes(Image.fromarray(hole), 'TIFF'), 'ring.tif': bytes(ring), 'pages.tif': film(rgb, 'TIFF'),
        'no offset.tif': tif[:4] + b'\xff\xff\xff\xff' + tif[8:], 'own offset.tif': tif[:4] + b'\4\0\0\0' + tif[8:],
        'cmyk.jpg': as_bytes(im.convert('CMYK'), 'JPEG'), 'clear.png': as_bytes(rgb.quantize(8), 'PNG', transparency=3),
        'all clear.png': as_bytes(Image.new('RGBA', im.size, (9, 9, 9, 0)), 'PNG'), 'film.gif': film(rgb, 'GIF'),
        'film.png': film(rgb, 'PNG'), 'film.webp': film(rgb, 'WEBP'), 'both.mpo': film(rgb, 'MPO'),
        'laced.png': png(w, h, 8, 0, rows + rows, laced=1),
        'laced, wrong sum.png': png(w, h, 8, 0, rows, laced=1, crc=1),
        'wrong sum.png': png(w, h, 8, 0, rows, crc=1), 'too short.png': png(w, h, 8, 0, rows[:999]),
        'too long.png': png(w, h, 8, 0, rows + bytes(10**7)), 'filter.png': png(w, h, 8, 0, b'\x09' + rows[1:]),
        'bomb.png': png(w, h, 8, 0, rows, chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(3*10**7)))),
        'bombs.png': png(w, h, 8, 0, rows, 80*chunk(b'iTXt', b'a\0\1\0\0\0' + zlib.compress(bytes(10**6)))),
        'profile bomb.png': png(w, h, 8, 0, rows, chunk(b'iCCP', b'a\0\0' + zlib.compress(bytes(3*10**7)))),
        'no profile.png': png(w, h, 8, 0, rows, chunk(b'iCCP', b'a\0\0no zlib')),
        'no exif.png': png(w, h, 8, 0, rows, chunk(b'eXIf', b'no TIFF')),
        'no exif.jpg': as_bytes(im, 'JPEG', exif=b'no TIFF'),
        'cut exif.jpg': as_bytes(im, 'JPEG', exif=turned(3).tobytes()[:20]),
        'exif 6 of text.jpg':
            as_bytes(im, 'JPEG', exif=turned(6).tobytes().replace(b'\x12\x01\x03\0', b'\x12\x01\x02\0')),
        'profile.jpg': as_bytes(rgb, 'JPEG', icc_profile=profile),
        'cut profile.jpg': as_bytes(rgb, 'JPEG', icc_profile=profile[:99]),
        'no profile.jpg': as_bytes(rgb, 'JPEG', icc_profile=b'\xff'*300),
        'arithmetic.jpg': jpg.replace(b'\xff\xc0', b'\xff\xc9'), 'lossless.jpg': jpg.replace(b'\xff\xc0', b'\xff\xc3'),
        '12 bit.jpg': jpg.replace(b'\xff\xc0\x00\x11\x08', b'\xff\xc0\x00\x11\x0c'),
        'no end.jpg': jpg[:-2], 'twice.jpg': jpg + jpg, 'more behind.png': as_bytes(im, 'PNG') + bytes(10**5),
        'many scans.jpg': never_ending(3000), 'cut scan.jpg': as_bytes(rgb, 'JPEG', progressive=True)[:-99],
        'many sizes.ico': as_bytes(rgb, 'ICO', sizes=[(16, 16), (32, 32), (64, 64)]),
        'huge.ico': as_icon(png(30000, 30000, 8, 0, rows)),
        'large.ico': as_icon(as_bytes(Image.new('1', (10500, 10500)), 'PNG')),
        'program.eps': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{} loop\n',
        'picture.svg': b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'}
    return out


def as_icon(inside): # says 64 x 64 outside
    return struct.pack('<HHHBBBBHHII', 0, 1, 1, 64, 64, 0, 0, 1, 32, len(inside), 22) + inside


def damaged(data, other, rng):
    "One of eleven mutations of a file; `other` is a second file."
    n, b, at = len(data), bytearray(data), rng.randrange(len(data))
    def near(): return rng.randrange(min(n, 200)) if rng.random() < .5 else rng.randrange(n) # half of them in the head
    def span(): return sorted((near(), near()))
    how = rng.randrange(11)
    if how == 0: return data[:at]
    if how == 1: b[i := near()] ^= 1 << rng.randrange(8)
    if how == 2:
        for _ in range(rng.randint(2, 30)): b[near()] = rng.randrange(256)
    if how == 3: i, j = span(); del b[i:j]
    if how == 4: i, j = span(); b[j:j] = b[i:j]
    if how == 5: i, j = span(); k = at; part = b[i:j]; del b[i:j]; b[k:k] = part
    if how == 6: return data[:at] + other[min(at, len(other) - 1):] # this head, that body
    if how == 7: k = near(); return other[:k] + data[k:]
    if how == 8: i, j = span(); b[i:j] = bytes(j - i)
    if how == 9:
        ends = 4*b'\xff', b'\x7f' + 3*b'\xff', bytes(4), b'\0\0\0\1', b'\1\0\0\0'
        i = near(); b[i:i + 4] = rng.choice(ends)
    if how == 10: i = near(); b[i:i] = rng.randbytes(rng.randint(1, 300))
    return bytes(b)


def mutations(images, n, seed):
    "n damaged files from some images: (name, bytes) each, names with an ending that is wrong for one in ten."
    rng = random.Random(seed)
    pool = [item for im in images for item in written(im).items()]
    for i in range(n):
        name, data = rng.choice(pool)
        for _ in range(rng.choice([1, 1, 1, 2, 4])): data = damaged(data, rng.choice(pool)[1], rng) or b'\0'
        ending = name.rpartition('.')[2] if rng.random() < .9 else rng.choice(['png', 'jpg', 'tif', 'JPG', 'txt'])
        yield f'{i:05} {name.rpartition(".")[0]}.{ending}', data
