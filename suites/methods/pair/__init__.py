"""A second model beside the first: a teacher, or what replaces one."""
