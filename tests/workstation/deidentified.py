"""What the tests of folders without identity share."""

from workstation.dicom.confidentiality import Profile
from workstation.dicom.deidentify_files import Order
from workstation.dicom.pseudonyms import Pseudonyms

NAMES = Pseudonyms(b"k" * 32)


def vouched(data, k=0):
    data.BurnedInAnnotation = "NO"
    data.BodyPartExamined = "ABDOMEN"


def order(*options, **more):
    return Order(Profile(frozenset(options)), NAMES, **more)
