"""Which widgets do several tools share?"""
