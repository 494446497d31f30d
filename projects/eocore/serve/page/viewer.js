// One or two images that pan and zoom together, beside each other or under a divider, with masks and a region over them.
// Coordinates are pixels of the image: x to the right, y down. Leaflet's flat plane has y up, hence the signs.
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";

const MOST_ENLARGED = 6; // powers of two
const DIVIDER_STEP = 5; // per key press [%]
const READING_MS = 600; // after which it is said that an image is being read
const toPlane = ([x, y]) => [-y, x];
const toPixels = (place) => [place.lng, -place.lat];

const ImageTiles = L.TileLayer.extend({
  getTileUrl({ x, y, z }) {
    return this.options.address.replace("{z}", -z).replace("{x}", x).replace("{y}", y);
  },
});
const ScaleBar = L.Control.Scale.extend({
  _updateMetric(pixels) {
    L.Control.Scale.prototype._updateMetric.call(this, pixels * this.options.metresPerPixel);
  },
});

export default {
  template: `
    <div class="eo-viewer" :class="'eo-mode-' + shown">
      <div class="eo-pane"><div class="eo-map" ref="left"></div></div>
      <div class="eo-pane eo-second" :style="clip"><div class="eo-map" ref="right"></div></div>
      <div v-if="shown !== 'single'" class="eo-name eo-name-left">{{ left.title }}</div>
      <div v-if="shown !== 'single'" class="eo-name eo-name-right">{{ right.title }}</div>
      <div v-if="shown === 'swipe'" class="eo-divider" role="slider" tabindex="0" aria-label="Divider between the two images"
        aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(divider)" :style="{ left: divider + '%' }"
        @pointerdown="dragDivider" @keydown="moveDivider"><span class="eo-grip">⇆</span></div>
      <div class="eo-readout" ref="readout" aria-hidden="true"></div>
      <div v-if="isReading" class="eo-reading" role="status">Reading the image … A large file takes a while the first time.</div>
      <div v-if="drawing" class="eo-hint" role="status">{{ hint }}</div>
    </div>`,
  props: { left: Object, right: Object, mode: String, overlays: Array, region: Object, drawing: String, resourcePath: String },
  data: () => ({ divider: 50, isReading: false }),
  computed: {
    shown() {
      return this.left && this.right ? this.mode || "single" : "single";
    },
    clip() {
      return this.shown === "swipe" ? { clipPath: `inset(0 0 0 ${this.divider}%)` } : {};
    },
    hint() {
      return this.drawing === "box"
        ? "Drag from corner to corner. Esc ends drawing."
        : "Click each corner; a double click or Enter closes the outline. Esc ends drawing.";
    },
  },
  watch: {
    left: "showLeft",
    right: "showRight",
    shown() {
      this.panes?.forEach((pane) => (pane.isNew = true));
      this.arrange();
    },
    overlays: { handler: "showOverlays", deep: true },
    region: "showRegion",
    drawing: "changeDrawing",
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI sets window.path_prefix then
    await loadResource(window.path_prefix + `${this.resourcePath}/leaflet/leaflet.css`);
    this.panes = [this.makePane(this.$refs.left), this.makePane(this.$refs.right)];
    this.showLeft();
    this.showRight();
    this.observer = new ResizeObserver(() => this.arrange());
    this.observer.observe(this.$el);
    this.onKey = (event) => this.drawKey(event);
    document.addEventListener("keydown", this.onKey, true); // before the button that began the drawing, which has the focus
  },
  unmounted() {
    this.observer?.disconnect();
    clearTimeout(this.waiting);
    document.removeEventListener("keydown", this.onKey, true);
    this.panes?.forEach((pane) => pane.map.remove());
  },
  methods: {
    makePane(element) {
      const calm = { zoomAnimation: false, fadeAnimation: false, inertia: false, attributionControl: false, zoomControl: false };
      const map = L.map(element, { crs: L.CRS.Simple, zoomSnap: 0, zoomDelta: 0.5, wheelPxPerZoomLevel: 120, ...calm });
      map.setView([0, 0], 0);
      const pane = { map, element, isNew: false, image: null, tiles: null, overlays: new Map(), outline: null, scale: null };
      map.on("move zoom", () => this.follow(pane));
      map.on("zoomend", () => element.classList.toggle("eo-enlarged", map.getZoom() > 0));
      map.on("mousemove", ({ latlng }) => this.tellPlace(pane, toPixels(latlng)));
      map.on("mouseout", () => this.tellPlace(pane, null));
      element.addEventListener("pointerdown", (event) => this.drawDown(pane, event), true);
      element.addEventListener("pointermove", (event) => this.drawMove(pane, event));
      element.addEventListener("dblclick", () => this.closeOutline());
      return pane;
    },
    showLeft() {
      this.showImage(this.panes?.[0], this.left);
    },
    showRight() {
      this.showImage(this.panes?.[1], this.right);
    },
    showImage(pane, image) {
      if (!pane) return;
      const before = pane.image;
      pane.tiles?.remove();
      pane.scale?.remove();
      pane.image = image || null;
      pane.tiles = pane.scale = null;
      pane.element.setAttribute("aria-label", image ? `Image ${image.title}; arrow keys move it, plus and minus zoom` : "No image");
      this.setBusy(pane, Boolean(image));
      if (!image) return this.showOverlays();
      const bounds = [toPlane([0, 0]), toPlane([image.width, image.height])];
      const zooms = { minZoom: -image.levels - 2, maxZoom: MOST_ENLARGED, minNativeZoom: -image.levels, maxNativeZoom: 0 };
      pane.map.setMinZoom(zooms.minZoom).setMaxZoom(MOST_ENLARGED);
      pane.tiles = new ImageTiles("", { ...zooms, bounds, noWrap: true, address: image.address, keepBuffer: 1 });
      pane.tiles.on("loading", () => this.setBusy(pane, true));
      pane.tiles.on("load", () => this.setBusy(pane, false));
      pane.isNew ||= !before || before.key !== image.key;
      if (image.metresPerPixel) pane.scale = new ScaleBar({ imperial: false, metresPerPixel: image.metresPerPixel }).addTo(pane.map);
      this.showOverlays();
      this.showRegion();
      this.arrange();
    },
    fit(pane) {
      const { width, height } = pane.image;
      pane.map.fitBounds([toPlane([0, 0]), toPlane([width, height])], { animate: false, padding: [12, 12] });
    },
    fit_all() {
      this.panes?.forEach((pane) => (pane.isNew = true));
      this.arrange();
    },
    zoom_by(steps) {
      const map = this.panes?.[0]?.map;
      map?.setZoom(map.getZoom() + steps, { animate: false });
    },
    // after the page has its new layout: new images whole, the second one where the first one is
    arrange() {
      this.$nextTick(() => {
        const [first] = this.panes || [];
        if (!first?.image || !this.$el.clientWidth) return;
        this.panes.forEach(({ map }) => map.invalidateSize({ animate: false }));
        if (first.isNew) this.fit(first);
        first.isNew = false;
        this.follow(first);
        this.panes.forEach((pane) => this.addTiles(pane));
      });
    },
    // last of all, or tiles of another view would be asked for
    addTiles(pane) {
      if (!pane.tiles || pane.map.hasLayer(pane.tiles)) return;
      pane.tiles.addTo(pane.map);
      this.setBusy(pane, pane.tiles.isLoading());
    },
    setBusy(pane, isBusy) {
      pane.element.setAttribute("aria-busy", String(isBusy));
      pane.isBusy = isBusy;
      if (this.panes.some((each) => each.isBusy)) {
        this.waiting ??= setTimeout(() => (this.isReading = true), READING_MS);
        return;
      }
      clearTimeout(this.waiting);
      this.waiting = null;
      this.isReading = false;
    },
    // x and y of one image in the other: over the ground where both say where they lie, else by their sizes
    matched(from, to) {
      if (from.affine && to.affine && from.crs === to.crs && !from.affine[1] && !from.affine[3] && !to.affine[1] && !to.affine[3]) {
        const [scaleX, scaleY] = [from.affine[0] / to.affine[0], from.affine[4] / to.affine[4]];
        const shift = [(from.affine[2] - to.affine[2]) / to.affine[0], (from.affine[5] - to.affine[5]) / to.affine[4]];
        const overlaps = shift[0] < to.width && shift[0] + scaleX * from.width > 0 && shift[1] < to.height && shift[1] + scaleY * from.height > 0;
        if (overlaps) return { scaleX, place: ([x, y]) => [x * scaleX + shift[0], y * scaleY + shift[1]] };
      }
      const [scaleX, scaleY] = [to.width / from.width, to.height / from.height];
      return { scaleX, place: ([x, y]) => [x * scaleX, y * scaleY] };
    },
    follow(pane) {
      const other = this.panes?.[pane === this.panes[0] ? 1 : 0];
      if (this.following || this.shown === "single" || !other?.image || !pane.image || !other.element.clientWidth) return;
      const { scaleX, place } = this.matched(pane.image, other.image);
      this.following = true;
      const centre = toPlane(place(toPixels(pane.map.getCenter())));
      other.map.setView(centre, pane.map.getZoom() - Math.log2(scaleX), { animate: false });
      this.following = false;
    },
    showOverlays() {
      for (const pane of this.panes || []) {
        const wanted = new Map((this.overlays || []).filter((each) => each.image === pane.image?.key).map((each) => [each.key, each]));
        for (const [key, layer] of pane.overlays) if (!wanted.has(key)) pane.overlays.delete(key) && layer.remove();
        for (const [key, each] of wanted) {
          if (!pane.overlays.has(key)) {
            const [left, top, width, height] = each.window;
            const bounds = [toPlane([left, top]), toPlane([left + width, top + height])];
            const layer = L.imageOverlay(each.address, bounds, { className: "eo-overlay", alt: each.title });
            pane.overlays.set(key, layer.addTo(pane.map));
          }
          const layer = pane.overlays.get(key);
          layer.setOpacity(each.visible ? each.opacity : 0);
        }
      }
    },
    focus_window(key, window) {
      const pane = this.panes?.find(({ image }) => image?.key === key);
      if (!pane) return;
      const [left, top, width, height] = window;
      pane.map.fitBounds([toPlane([left, top]), toPlane([left + width, top + height])], { animate: false, padding: [60, 60], maxZoom: 3 });
    },
    showRegion() {
      for (const pane of this.panes || []) {
        pane.outline?.remove();
        pane.outline = null;
        const points = this.region && this.region.image === pane.image?.key ? this.region.points : null;
        if (points) pane.outline = L.polygon(points.map(toPlane), { className: "eo-region", interactive: false }).addTo(pane.map);
      }
    },
    tellPlace(pane, pixel) {
      const { readout } = this.$refs;
      if (!readout) return;
      const { image } = pane;
      if (!pixel || !image || pixel[0] < 0 || pixel[1] < 0 || pixel[0] >= image.width || pixel[1] >= image.height) {
        readout.textContent = "";
        return;
      }
      const [x, y] = pixel;
      let text = `column ${Math.floor(x)}, row ${Math.floor(y)}`;
      if (image.affine) {
        const [a, b, c, d, e, f] = image.affine;
        const digits = Math.abs(a) < 0.1 ? 5 : 0;
        text += ` · ${(a * x + b * y + c).toFixed(digits)}, ${(d * x + e * y + f).toFixed(digits)}`;
        if (image.crs) text += ` ${image.crs}`;
      }
      readout.textContent = text;
    },
    dragDivider(event) {
      event.preventDefault();
      const handle = event.currentTarget;
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      const move = ({ clientX }) => {
        const { left, width } = this.$el.getBoundingClientRect();
        this.divider = Math.min(Math.max(((clientX - left) / width) * 100, 0), 100);
      };
      handle.addEventListener("pointermove", move);
      handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", move), { once: true });
    },
    moveDivider(event) {
      const step = { ArrowLeft: -DIVIDER_STEP, ArrowRight: DIVIDER_STEP, Home: -100, End: 100 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.divider = Math.min(Math.max(this.divider + step, 0), 100);
    },
    changeDrawing() {
      this.stopDraft();
      for (const { map, element } of this.panes || []) {
        map.dragging[this.drawing ? "disable" : "enable"]();
        map.doubleClickZoom[this.drawing ? "disable" : "enable"]();
        element.classList.toggle("eo-drawing", Boolean(this.drawing));
      }
    },
    stopDraft() {
      this.draft?.shape?.remove();
      this.draft = null;
    },
    pixelOf(pane, event) {
      const [x, y] = toPixels(pane.map.mouseEventToLatLng(event));
      return [Math.min(Math.max(x, 0), pane.image.width), Math.min(Math.max(y, 0), pane.image.height)];
    },
    drawDown(pane, event) {
      if (!this.drawing || !pane.image || event.button || event.target.closest(".leaflet-control")) return;
      event.preventDefault();
      const point = this.pixelOf(pane, event);
      if (this.drawing === "polygon") {
        if (this.draft && this.draft.pane === pane) this.draft.points.push(point);
        else this.draft = { pane, points: [point] };
        this.showDraft(point);
        return;
      }
      this.stopDraft();
      this.draft = { pane, points: [point] };
      pane.element.setPointerCapture(event.pointerId);
      pane.element.addEventListener("pointerup", (up) => this.finishBox(pane, up), { once: true });
    },
    drawMove(pane, event) {
      if (this.draft?.pane === pane) this.showDraft(this.pixelOf(pane, event));
    },
    corners([left, top], [right, bottom]) {
      return [[left, top], [right, top], [right, bottom], [left, bottom]]; // prettier-ignore
    },
    showDraft(cursor) {
      const { pane, points } = this.draft;
      const places = this.drawing === "box" ? this.corners(points[0], cursor) : [...points, cursor];
      this.draft.shape?.remove();
      this.draft.shape = L.polygon(places.map(toPlane), { className: "eo-region eo-draft", interactive: false }).addTo(pane.map);
    },
    finishBox(pane, event) {
      if (!this.draft || this.drawing !== "box") return;
      const [first, second] = [this.draft.points[0], this.pixelOf(pane, event)];
      this.stopDraft();
      const [left, right] = [Math.floor(Math.min(first[0], second[0])), Math.ceil(Math.max(first[0], second[0]))];
      const [top, bottom] = [Math.floor(Math.min(first[1], second[1])), Math.ceil(Math.max(first[1], second[1]))];
      if (right - left < 2 || bottom - top < 2) return;
      this.$emit("drawn", { kind: "box", image: pane.image.key, points: this.corners([left, top], [right, bottom]) });
    },
    closeOutline() {
      if (this.drawing !== "polygon" || !this.draft) return;
      const { pane, points } = this.draft;
      this.stopDraft();
      const apart = points.filter(([x, y], i) => !i || Math.hypot(x - points[i - 1][0], y - points[i - 1][1]) > 0.25); // a double click is two
      if (apart.length < 3) return;
      this.$emit("drawn", { kind: "polygon", image: pane.image.key, points: apart });
    },
    drawKey(event) {
      if (!this.drawing || !["Escape", "Enter"].includes(event.key) || (event.key === "Enter" && !this.draft)) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") this.$emit("drawn", null);
      else this.closeOutline();
    },
  },
};
