"""The messages of the cluster, readable by other languages: each `.proto` file, and beside it what protobuf made of it.

`make protos` makes those anew. There is no generated code: that refuses to work with another version of protobuf than
its own, and users pin theirs for other libraries; a description does not.
"""
